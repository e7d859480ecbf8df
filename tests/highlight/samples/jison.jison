/* sums of numbers */
%lex
%%
\s+      /* skip blanks */
[0-9]+   return 'NUMBER';
"+"      return '+';
/lex
%left '+'
%%
e : e '+' e { $$ = $1 + $3; } | NUMBER { $$ = Number(yytext) * 1; } ;
