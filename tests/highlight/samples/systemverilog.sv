// four bit counter
module counter #(parameter int W = 4) (input logic clk, rst,
                                       output logic [W-1:0] q);
  always_ff @(posedge clk) begin
    if (rst) q <= 4'b0000;
    else q <= q + 1;
  end
  initial $display("width %0d", W);
endmodule
