// four bit counter
module counter(input clk, input rst, output reg [3:0] q);
  parameter LIMIT = 4'd9;
  always @(posedge clk) begin
    if (rst) q <= 4'b0000;
    else q <= q + 1;
  end
  initial $display("limit %d", LIMIT);
endmodule
