extends Node2D
# moves the player
export var speed = 120
var label = "Player One"

func _process(delta):
	if Input.is_action_pressed("ui_right"):
		position.x += speed * delta
