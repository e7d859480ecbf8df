# counter with a name
class Counter
  var name, value
  def init(name) self.name = name self.value = 0 end
  def add(n)
    if n > 10 return nil end
    self.value += n
  end
end
print("total:", Counter("web").add(5))
