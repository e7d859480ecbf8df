% servers and their loads
:- module(fleet, [busy/1]).
:- use_module(library(lists)).

server(alpha, 95).
server(beta, 20).

busy(Name) :-
    server(Name, Load), Load > 90,
    format("~w is busy~n", [Name]), \+ member(Name, ['gamma']).
