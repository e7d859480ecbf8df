use std::fmt;
/// A server entry.
pub struct Server { name: String, port: u16 }
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.port + 1; // next
        write!(f, "{}:{}\n", self.name, n)
    }
}
