-- four bit counter
library ieee;
use ieee.std_logic_1164.all;
entity counter is
  generic (WIDTH : integer := 4);
  port (clk : in std_logic; q : out std_logic_vector(3 downto 0));
end entity counter;
architecture rtl of counter is
begin q <= "0000" when clk = '0' else x"F";
end architecture rtl;
