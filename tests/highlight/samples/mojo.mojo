from math import sqrt

# counts the busy servers
struct Counter:
    var hits: Int
    fn add(mut self, n: Int) raises -> Int:
        if n < 0:
            raise Error("negative count")
        self.hits += n
        return self.hits + 1
