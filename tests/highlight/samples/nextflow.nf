// counts the lines of the logs
params.limit = 10
process COUNT {
    cpus 2
    input: path log
    output: stdout
    script:
    "wc -l ${log}"
}
workflow { Channel.fromPath('logs/*.txt') | COUNT | view }
