%lang starknet
from starkware.cairo.common.math import assert_le

// adds to a bounded counter
func add_bounded{range_check_ptr}(value: felt) -> (res: felt) {
    assert_le(value, 1000);
    let res = value + 'one';
    return (res=res);
}
