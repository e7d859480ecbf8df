# restart the workers
function restart --argument name
    set -l count 3
    for i in (seq $count)
        if test $i -gt 1
            echo "restarting $name $i"
        end
    end
end
