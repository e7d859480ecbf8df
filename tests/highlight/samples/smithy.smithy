$version: "2.0"
namespace example.fleet
// one server of the fleet
@documentation("A server")
structure Server {
    @required
    name: String
    @range(min: 1024, max: 65535)
    port: Integer = 8080
}
