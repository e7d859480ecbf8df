using System;
// a simple counter
public class Counter
{
    private int value = 42;
    public void Print()
    {
        Console.WriteLine($"value is {value}");
    }
}
