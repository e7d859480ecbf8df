<?php
// a counter
class Counter
{
    private int $value = 5;
    public function show(): string
    {
        return $this->value > 3 ? "many: {$this->value}" : 'few';
    }
}
