-- a simple counter
structure Counter where
  name : String := "main"
  value : Nat := 0

def bump (c : Counter) : Counter :=
  { c with value := c.value + 1 }

theorem add_zero' (n : Nat) : n + 0 = n := by simp
