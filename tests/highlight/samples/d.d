import std.stdio;
// print the workers
void main()
{
    immutable int limit = 3;
    foreach (i; 0 .. limit)
        writeln("worker ", i);
}
