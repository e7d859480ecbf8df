import Foundation
// a server entry
struct Server {
    let name: String
    var port: Int = 8080
    func describe() -> String {
        guard port > 1024 else { return "system" }
        return "\(name) on \(port)"
    }
}
