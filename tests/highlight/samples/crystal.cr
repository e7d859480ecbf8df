# a typed counter
class Counter
  getter value : Int32 = 0

  def bump(by = 2)
    @value += by
    puts "now #{@value}" unless by.zero?
  end
end
