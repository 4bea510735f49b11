// What the search in the frame found: users and items.

import { empty, h, panel, title, to } from './dom.js';
import { itemColumns, loadItems } from './items.js';
import { pages } from './table.js';
import { loadUsers, userColumns } from './users.js';

export async function show(root, [text = ''], signal) {
  const [users, items] = [h('div', {}), h('div', {})];
  root.append(title(['Found for ', h('span', { class: 'id' }, text)]), panel('Items', items), panel('Users', users));
  await Promise.all([
    pages(items, loadItems(text, signal), { caption: 'Items', columns: itemColumns, nothing: empty('No item is like that.') }),
    pages(users, loadUsers(text, signal), { caption: 'Users', columns: userColumns, nothing: empty('Nobody has an id like that. ', h('a', { href: to('users', text) }, 'Ask for a list all the same')) }),
  ]);
}
