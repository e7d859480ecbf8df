<!-- visitor counter -->
<html>
<body>
<%
  ' count visitors
  Dim n : n = 5
  If n > 3 Then Response.Write("Visitors: " & n)
%>
</body>
</html>
