module Main where
import Prelude
import Effect.Console (log)

-- describe a port
describe :: Int -> String
describe n = if n > 1024 then "user" else "system"

main = log (describe 80)
