*** Settings ***
Library    OperatingSystem
*** Variables ***
${PORT}    8080
*** Test Cases ***
Server Is Up
    # check the log
    [Tags]    smoke
    Log    Using port ${PORT}
    Should Be Equal As Integers    ${PORT}    8080
