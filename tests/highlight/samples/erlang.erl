%% a small counter
-module(counter).
-export([loop/1]).
loop(N) when N < 100 ->
    receive
        {add, K} -> loop(N + K);
        stop -> io:format("total ~p~n", [N])
    end.
