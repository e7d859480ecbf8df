package main

import "fmt"

// main prints the workers.
func main() {
	for i := 0; i < 3; i++ {
		fmt.Printf("worker %d\n", i)
	}
}
