program Ports;
{ print a few ports }
var
  i: Integer;
begin
  for i := 1 to 3 do
    if i <> 2 then
      WriteLn('port ', 8000 + i);
end.
