import gleam/int
import gleam/io

/// Describes one server.
pub fn describe(name: String, load: Int) -> String {
  case load > 90 {
    True -> name <> " is hot: " <> int.to_string(load)
    False -> name // all good
  }
}
