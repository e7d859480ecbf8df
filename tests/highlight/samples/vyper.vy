# @version ^0.3.9
# a counter
value: public(uint256)
owner: address

@external
def bump(by: uint256 = 1):
    assert by < 100, "too large"
    self.value += by
