-- remind me three times
set serverName to "alpha"
repeat with i from 1 to 3
    if i is 2 then
        display dialog "Check " & serverName
    end if
end repeat
