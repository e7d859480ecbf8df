/* sums of numbers */
%token <int> NUM
%token PLUS EOF
%left PLUS
%start main
%type <int> main
%%
main: expr EOF { $1 };
expr: NUM { $1 (* number *) }
  | expr PLUS expr { $1 + $3 };
