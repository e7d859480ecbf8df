package ops

// a deployment
data class Deployment(val name: String, var replicas: Int = 3)

fun describe(d: Deployment): String {
    if (d.replicas > 10) return "large"
    return "${d.name} x ${d.replicas}"
}
