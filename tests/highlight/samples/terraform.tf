# web servers
variable "replicas" {
  type    = number
  default = 3
}
resource "demo_server" "web" {
  count = var.replicas
  name  = "web-${count.index + 1}"
  tags  = { env = "test", live = true }
}
