defmodule Ops.Counter do
  # keeps a running total
  @limit 100
  def add(total, n) when n > 0 do
    IO.puts("total: #{total + n}")
    {:ok, min(total + n, @limit)}
  end
end
