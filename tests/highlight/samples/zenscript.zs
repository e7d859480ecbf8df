import crafttweaker.item.IItemStack;

// a recipe for the counter
val limit as int = 3;
val iron = <minecraft:iron_ingot>;
recipes.remove(<fleet:counter>);
recipes.addShaped("counter", <fleet:counter> * 2, [[iron, null], [iron, iron]]);
for i in 0 to limit {
    if (i > 1) { print("step " + i); }
}
