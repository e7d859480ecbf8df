# a counter
class Counter
  attr_reader :value
  def initialize(start = 10)
    @value = start
  end
  def show
    puts "value: #{@value}" if @value > 3
  end
end
