module Main

-- describe a port
describe : Nat -> String
describe Z = "none"
describe n = if n > 1024 then "user" else "system"

main : IO ()
main = putStrLn (describe 80)
