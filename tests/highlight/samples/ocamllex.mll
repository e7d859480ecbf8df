{ (* token types *)
  type token = NUM of int | ID of string | EOF }
let digit = ['0'-'9']
rule token = parse
  | [' ' '\t']      { token lexbuf }
  | digit+ as n     { NUM (int_of_string n) }
  | "port"          { ID "port" }
  | eof             { EOF }
