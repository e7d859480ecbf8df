<!-- counter page -->
<html>
<body class="main">
<%
  # count the visits
  set n 5
  if {$n > 3} { ns_puts "Visits: $n" }
%>
</body>
</html>
