import Component from '@glimmer/component';
import { on } from '@ember/modifier';

// counts the clicks
export default class Counter extends Component {
  count = 1;
  <template>
    <button class="big" {{on "click" this.add}}>{{this.count}}</button>
  </template>
}
