package ops.access

# only user ports
default allow = false
allow {
    input.method == "GET"
    input.port > 1024
    some i
    input.roles[i] == "admin"
}
