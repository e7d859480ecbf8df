import { Component } from '@angular/core';

// shows how often the button was pressed
@Component({
  selector: 'app-counter',
  template: `<button (click)="add()">{{ count }}</button>`,
})
export class CounterComponent {
  count = 0; add(): void { this.count += 1; }
}
