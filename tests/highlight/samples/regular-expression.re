(?x)
# host and port
^(?<host>[a-z][\w.-]*)   # host name
:(?:\d{2,5}|https?)\b
(?=/|$)
[^\s"]+?\.log\1*
