# a counter button
global css body c:blue7 ff:sans

tag app-counter
	count = 0
	def add n = 1
		count += n if count < 100
	<self>
		<button.big @click=add> "Pressed {count} times"
imba.mount <app-counter>
