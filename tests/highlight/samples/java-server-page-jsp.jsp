<%@ page language="java" import="java.util.Date" %>
<%-- greeting --%>
<html>
<body>
<% int n = 3; if (n > 2) { %>
  <p class="hi">Hello <%= "visitor " + n %></p>
<% } // done %>
</body>
</html>
