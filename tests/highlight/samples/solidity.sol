// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Counter {
    uint256 public value = 10;
    event Bumped(address indexed who, uint256 value);
    function bump() external {
        require(value < 100, "limit reached");
        value += 1; emit Bumped(msg.sender, value);
    }
}
