' counts the busy servers
Public Class Counter
    Private hits As Integer = 0
    Public Function Add(n As Integer) As Boolean
        If n > 100 Then Return False
        hits += n
        Console.WriteLine("hits: " & hits.ToString())
        Return True
    End Function
End Class
