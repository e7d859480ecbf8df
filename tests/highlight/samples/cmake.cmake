# build the agent
cmake_minimum_required(VERSION 3.16)
project(agent LANGUAGES C)
set(AGENT_PORT 9100)
if(UNIX)
  message(STATUS "port is ${AGENT_PORT}")
endif()
add_executable(agent main.c)
