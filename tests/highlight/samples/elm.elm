module Counter exposing (label)

-- describe the count
label : Int -> String
label n =
    if n > 10 then
        "many"
    else
        "only " ++ String.fromInt n
