with Ada.Text_IO; use Ada.Text_IO;
-- print a few ports
procedure Ports is
   Base : constant Integer := 8_000;
begin
   for I in 1 .. 3 loop
      Put_Line ("port" & Integer'Image (Base + I));
   end loop;
end Ports;
