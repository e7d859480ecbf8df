module Main where
import Data.List (sort)

-- | Keep the user ports.
userPorts :: [Int] -> [Int]
userPorts ps = sort [p | p <- ps, p > 1024]

main :: IO ()
main = putStrLn ("ports: " ++ show (userPorts [80, 8080]))
