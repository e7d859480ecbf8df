// deploy step
class Deploy {
    int replicas = 3
    def run(String name) {
        if (replicas > 1) {
            println "deploying ${name} x $replicas"
        }
    }
}
