package ops
// a deployment
case class Deployment(name: String, replicas: Int = 3)
object Main extends App {
  val d = Deployment("counter")
  d.replicas match {
    case n if n > 10 => println("large")
    case n           => println(s"${d.name} x $n")
  }
}
