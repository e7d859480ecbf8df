# build the agent
CC := gcc
CFLAGS = -O2 -DPORT=8080
ifeq ($(DEBUG),1)
CFLAGS += -g
endif
.PHONY: all
all: agent.o
	@echo "building $@"
	$(CC) $(CFLAGS) -o agent $<
