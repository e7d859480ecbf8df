# sum the bytes served per port
BEGIN { FS = ":"; total = 0 }
/^port/ {
    if ($2 > 1024) total += $3
}
END { printf "total: %d bytes\n", total }
