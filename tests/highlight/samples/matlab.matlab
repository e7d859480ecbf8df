% mean load
function m = meanload(x)
    m = 0;
    for k = 1:numel(x)
        m = m + x(k) / 2.5;
    end
    fprintf('mean %f\n', m);
end
